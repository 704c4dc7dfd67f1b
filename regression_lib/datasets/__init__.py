"""The two data sets that travel inside the package, each beside its notice; see README.md here."""
