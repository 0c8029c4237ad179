package channel

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/lockkeeper/lockkeeper/sdk"
)

// rememberedKeys bounds what Delivered knows: more notifications than that are not under way at a time.
const rememberedKeys = 1000

// Delivered remembers which recipients of a notification have it while others do not, so that the next try tells only those. The zero
// value is ready; it may be used by several at a time.
type Delivered struct {
	mu   sync.Mutex
	done map[string]map[string]bool // by key and recipient; a key is forgotten when all have it
}

// Each sends to each recipient that has no notification of this key yet. While a failure can be cured by another try it returns that, and
// the next call goes on. One that cannot is printed and counts as done; it is the error only when nobody has been reached.
func (d *Delivered) Each(key string, recipients []string, send func(recipient string) error) error {
	var again, never []error
	for _, recipient := range recipients {
		if d.has(key, recipient) {
			continue
		}
		switch err := send(recipient); {
		case err == nil:
			d.add(key, recipient)
		case sdk.IsPermanent(err):
			never = append(never, err)
		default:
			again = append(again, err)
		}
	}
	if len(again) > 0 {
		return again[0]
	}
	reached := d.forget(key)
	if len(never) > 0 && reached == 0 {
		return sdk.Permanent(errors.Join(never...))
	}
	for _, err := range never {
		fmt.Fprintf(os.Stderr, "[WARN] not everybody was told: %v\n", err)
	}
	return nil
}

func (d *Delivered) has(key, recipient string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.done[key][recipient]
}

func (d *Delivered) add(key, recipient string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.done == nil || len(d.done) >= rememberedKeys && d.done[key] == nil {
		d.done = map[string]map[string]bool{} // what is forgotten is sent twice at worst
	}
	if d.done[key] == nil {
		d.done[key] = map[string]bool{}
	}
	d.done[key][recipient] = true
}

// forget returns how many have been reached.
func (d *Delivered) forget(key string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	reached := len(d.done[key])
	delete(d.done, key)
	return reached
}
