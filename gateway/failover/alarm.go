package failover

import (
	"fmt"
	"strings"
)

// alarmTexts is how many texts an alarm names; the others it counts.
const alarmTexts = 3

// alarm raises an alarm, or adds a text to it.
func (d *decider) alarm(name, text string) {
	if d.quiet {
		return
	}
	d.alarms[name] = append(d.alarms[name], text)
}

// sound writes the alarms down.
func (d *decider) sound() {
	for name, texts := range d.alarms {
		more := ""
		if len(texts) > alarmTexts {
			more = fmt.Sprintf("; and %d more", len(texts)-alarmTexts)
			texts = texts[:alarmTexts]
		}
		d.out.Alarms[name] = strings.Join(texts, "; ") + more
	}
}
