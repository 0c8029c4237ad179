package failover

import (
	"fmt"
	"strconv"
)

// Combine is how many probes of a subject must fail until it is unhealthy. 0 is all, the default: one probe's trouble is not the subject's.
// More than a subject has is all.
type Combine int

// UnmarshalText reads all, any or a number.
func (c *Combine) UnmarshalText(text []byte) error {
	switch string(text) {
	case "all", "":
		*c = 0
		return nil
	case "any":
		*c = 1
		return nil
	}
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 1 {
		return fmt.Errorf("%q is neither all, any nor a number of probes", text)
	}
	*c = Combine(n)
	return nil
}

// String is what UnmarshalText reads.
func (c Combine) String() string {
	switch c {
	case 0:
		return "all"
	case 1:
		return "any"
	}
	return strconv.Itoa(int(c))
}

// health is what so many bad and good ones of all probes make of a subject. The others are unknown, and what they may turn out to be
// decides nothing.
func (c Combine) health(bad, good, all int) Health {
	need := int(c)
	if need == 0 || need > all {
		need = all
	}
	switch {
	case bad >= need:
		return Dead
	case good > all-need: // however the unknown ones are
		return Healthy
	}
	return Unknown
}
