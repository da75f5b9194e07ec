"""The only folder that imports dagster: assets, checks, jobs, sensors and the resources they share."""
