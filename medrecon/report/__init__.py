"""What is shown of a reconstruction: values for files and tables, and figures."""
