"""The paper's tables: plan -> runs -> files -> tables and pages."""
