"""The paper's tables and figures; each experiment declares what it needs, and runs resume."""
