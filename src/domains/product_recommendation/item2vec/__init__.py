"""Products as vectors, learned by Word2Vec from what each person liked."""
