package console

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/config/configopaque"
)

// minToken is how many characters keep a token from being guessed.
const minToken = 16

// Token lets its bearer change things.
type Token struct {
	// Name is who the bearer is: what the log says of each change.
	Name string `mapstructure:"name"`

	// Role is what the bearer may do: viewer, operator (also what passes by, such as a test) or admin (also what stays).
	Role string `mapstructure:"role"`

	// Token is the secret, of at least 16 characters. Newlines at its end do not belong to it, so that it may come from a file.
	Token configopaque.String `mapstructure:"token"`
}

// Validate reports all mistakes of one token at once; the Collector adds the path to them.
func (t Token) Validate() error {
	var errs []error
	if t.Name == "" {
		errs = append(errs, errors.New("name: missing: who the bearer is"))
	}
	if err := validateRole(t.Role); err != nil {
		errs = append(errs, err)
	}
	value := t.value()
	unsent := func(r rune) bool { return r <= ' ' || r > '~' }
	switch {
	case len(value) < minToken:
		errs = append(errs, fmt.Errorf("token: has %d characters and needs at least %d: make one with `openssl rand -hex 20`", len(value), minToken))
	case strings.ContainsFunc(value, unsent):
		errs = append(errs, errors.New("token: has a character that is not printable ASCII: make one with `openssl rand -hex 20`"))
	}
	return errors.Join(errs...)
}

func (t Token) value() string { return strings.TrimRight(string(t.Token), "\r\n") }

// rank orders the roles; -1 is none.
func rank(role string) int { return slices.Index([]string{"viewer", "operator", "admin"}, role) }

// bearers are the tokens as they are compared.
type bearers []bearer

type bearer struct {
	name, role string
	sum        [sha256.Size]byte
}

func newBearers(tokens []Token) bearers {
	b := make(bearers, len(tokens))
	for i, t := range tokens {
		b[i] = bearer{t.Name, t.Role, sha256.Sum256([]byte(t.value()))}
	}
	return b
}

// find takes the same time whatever is presented, so that nothing can be learned from it. Nil: nobody's.
func (b bearers) find(presented string) *bearer {
	sum := sha256.Sum256([]byte(presented))
	var found *bearer
	for i := range b {
		if subtle.ConstantTimeCompare(sum[:], b[i].sum[:]) == 1 {
			found = &b[i]
		}
	}
	return found
}
