"""Models on secret data in the manner of scikit-learn: `fit`, `predict`, fitted attributes that end in an underscore.

    from ppc.mpc import array, learn, run

    def program(s):
        x = learn.vertical(s, my_columns, widths=(3, 4), rows=1000)       # each party has some of the columns
        y = array(s, labels if s.rank == 0 else None, owner=0, shape=1000)
        model = learn.LogisticRegression().fit(x, y)
        return model.coef_.reveal(), model.predict_proba(x)[:10].reveal(to=0)

What is fitted is secret until it is revealed. Parameters, shapes and the number of steps are public.
"""

from ppc.mpc.learn.linear import (
    GammaRegressor,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    TweedieRegressor,
)
from ppc.mpc.learn.network import MLPClassifier, MLPRegressor
from ppc.mpc.learn.table import Table, vertical
from ppc.mpc.learn.trees import BoostedTreesClassifier

__all__ = [
    "BoostedTreesClassifier",
    "GammaRegressor",
    "LinearRegression",
    "LogisticRegression",
    "MLPClassifier",
    "MLPRegressor",
    "PoissonRegressor",
    "Table",
    "TweedieRegressor",
    "vertical",
]
