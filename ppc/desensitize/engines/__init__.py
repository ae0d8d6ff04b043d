"""One policy, the same result: an adapter for each engine. Every `apply` gives what `ppc.desensitize.apply` gives."""
