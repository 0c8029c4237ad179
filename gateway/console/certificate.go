package console

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
)

// Certificate lets the holder of a client certificate change things, as a Token does its bearer.
type Certificate struct {
	// Name is a URI or DNS name that the certificate is for, or the common name of one that names neither. The log says it of each change.
	Name string `mapstructure:"name"`

	// Role is what the holder may do: viewer, operator or admin.
	Role string `mapstructure:"role"`
}

// Validate reports all mistakes at once; the Collector adds the path to them.
func (c Certificate) Validate() error {
	var errs []error
	if c.Name == "" {
		errs = append(errs, errors.New("name: missing: a URI or DNS name of the client certificate, or its common name"))
	}
	return errors.Join(append(errs, validateRole(c.Role))...)
}

func validateRole(role string) error {
	switch {
	case role == "":
		return errors.New("role: missing: viewer, operator or admin")
	case rank(role) < 0:
		return fmt.Errorf("role: %q is none of viewer, operator, admin", role)
	}
	return nil
}

// holder is who sends a request, by the client certificate that the server has verified. Nil: nobody that may change anything. presented
// tells whether there is a certificate at all.
func holder(certificates []Certificate, r *http.Request) (who *bearer, presented bool) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return nil, false
	}
	names := namesOf(r.TLS.VerifiedChains[0][0])
	for _, c := range certificates {
		if slices.Contains(names, c.Name) {
			return &bearer{name: c.Name, role: c.Role}, true
		}
	}
	return nil, true
}

// namesOf are a certificate's URIs and DNS names. The common name stands in where it has neither, since it is not checked by those who sign.
func namesOf(certificate *x509.Certificate) []string {
	names := slices.Clone(certificate.DNSNames)
	for _, uri := range certificate.URIs {
		names = append(names, uri.String())
	}
	if len(names) == 0 {
		names = append(names, certificate.Subject.CommonName)
	}
	return names
}
