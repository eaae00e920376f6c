"""How heads are trained: losses, optimisers, hyper-parameters, and each head with all that training needs."""
