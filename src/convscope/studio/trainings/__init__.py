"""Train: data sets, recipes, trainings in processes of their own, and what their run directories show. No torch."""
