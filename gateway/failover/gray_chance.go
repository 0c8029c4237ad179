package failover

import "math"

// stratum is what one caller tried: at one endpoint, and at all of the cluster.
type stratum struct{ tries, failures, allTries, allFailures float64 }

// expected are the failures that the endpoint would have if it failed as the others do: its share of the tries.
func (s stratum) expected() float64 { return s.allFailures * s.tries / s.allTries }

// comparison is an endpoint beside the others, as the callers see it who tried both. It adds up what each caller saw by itself (as Cochran, Mantel and
// Haenszel do): a caller whose own network is broken fails everywhere alike, and says nothing of the endpoint.
type comparison struct {
	stratum         // the sum
	mean    float64 // the sum of expected
	strata  []stratum
	suffer  int // callers to whom it fails more than is expected
}

func (c *comparison) add(s stratum) {
	c.strata = append(c.strata, s)
	c.tries += s.tries
	c.failures += s.failures
	c.allTries += s.allTries
	c.allFailures += s.allFailures
	c.mean += s.expected()
	if s.failures > s.expected() {
		c.suffer++
	}
}

// others is the share of the tries at the others that failed.
func (c *comparison) others() float64 { return (c.allFailures - c.failures) / (c.allTries - c.tries) }

// gap is how much more of the tries at the endpoint failed than of those at the others.
func (c *comparison) gap() float64 { return c.failures/c.tries - c.others() }

// surprise tells how improbable it is that so many of the failures fell on the endpoint by chance, as the negative natural logarithm of an upper
// bound of the chance: if all endpoints fail alike, the failures of each caller are drawn from its tries without regard to where they went, so
// those at the endpoint are hypergeometric, and their sum over the callers is at most as spread as a binomial of all failures with the
// same mean (Hoeffding 1963, theorems 3 and 4). Chernoff's bound of that is exp(-F·KL(x/F‖e/F)). It holds for few tries as for many, needs no
// table and no normal approximation, and takes no account of how often the cluster fails: when everything fails alike, nothing surprises.
func (c *comparison) surprise() float64 {
	if c.failures <= c.mean {
		return 0
	}
	seen, mean := c.failures/c.allFailures, c.mean/c.allFailures
	nats := seen * math.Log(seen/mean)
	if seen < 1 {
		nats += (1 - seen) * math.Log((1-seen)/(1-mean))
	}
	return c.allFailures * nats
}

// blames tells whether it is the endpoint that fails: by much, by more than chance, to several callers, and also without the one who
// suffers most.
func (c *comparison) blames(nats float64) bool {
	if c.suffer < grayCallers || 3*c.suffer < len(c.strata) || c.gap() < grayGap || c.surprise() < nats {
		return false
	}
	rest := c.withoutWorst()
	return rest.gap() >= grayGap && rest.surprise() >= grayRest
}

func (c *comparison) withoutWorst() *comparison {
	worst := 0
	for i, s := range c.strata {
		if w := c.strata[worst]; s.failures-s.expected() > w.failures-w.expected() {
			worst = i
		}
	}
	rest := &comparison{strata: make([]stratum, 0, len(c.strata))}
	for i, s := range c.strata {
		if i != worst {
			rest.add(s)
		}
	}
	return rest
}
