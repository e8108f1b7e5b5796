"""The other road users of worlds that generate their pictures: who drives them, and where they are meanwhile."""
