"""The files of a run, and the one reader of a finished one."""
