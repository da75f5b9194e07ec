"""The promotion decision: a pure function of stored evidence, and the act that follows it."""
