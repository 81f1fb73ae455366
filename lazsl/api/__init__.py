"""What `import lazsl` offers: the verbs, a run's results, and an explanation that shows itself."""
