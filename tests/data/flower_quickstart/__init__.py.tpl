"""$project_name: A Flower / $framework_str app."""
