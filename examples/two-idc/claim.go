package main

import "fmt"

// A claim is one thing that a scene shows.
type claim struct {
	OK   bool   `json:"ok"`
	What string `json:"what"`
}

// claim says whether something is so; what is not makes the scene fail.
func (d *demo) claim(ok bool, format string, args ...any) {
	word, what := "ok", fmt.Sprintf(format, args...)
	if !ok {
		word = "FAIL"
	}
	d.claims = append(d.claims, claim{ok, what})
	d.say("%-4s %s", word, what)
}

// held is the error of a scene of which not all claims hold.
func (d *demo) held() error {
	failed := 0
	for _, c := range d.claims {
		if !c.OK {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d claims do not hold", failed, len(d.claims))
	}
	d.say("ok: all %d claims hold", len(d.claims))
	return nil
}
