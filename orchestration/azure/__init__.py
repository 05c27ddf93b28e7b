"""Azure Machine Learning: jobs and other resources, through its own package."""
