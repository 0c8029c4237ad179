package xds

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// request is what is used of a DiscoveryRequest or, if delta, of a DeltaDiscoveryRequest. Envoy's first one is 62 kB, since its node lists
// all that is built into it; that is skipped.
type request struct {
	delta bool

	hasNode     bool
	node        string // its id
	typeURL     string
	names       []string // those of interest; delta: more of them
	unsubscribe []string
	known       map[string]string // delta: versions by name
	nonce       string
	refused     bool // error_detail is there: the client does not accept the response with that nonce
	why         string

	malformed  error
	size       int  // in bytes
	everything bool // all of the type is owed because of it
}

// The fields of DiscoveryRequest and DeltaDiscoveryRequest.
const (
	fieldNode = iota + 1
	fieldTypeURL
	fieldNames
	fieldUnsubscribe
	fieldKnown
	fieldNonce
	fieldError
	fieldOther
)

var (
	errTruncated = errors.New("the request is not a protobuf message")
	errUTF8      = errors.New("the request has a string that is not UTF-8")
)

// field tells what a field number means.
func (r *request) field(number protowire.Number) int {
	if r.delta {
		if number >= fieldNode && number <= fieldError {
			return int(number)
		}
		return fieldOther
	}
	switch number {
	case 2:
		return fieldNode
	case 3:
		return fieldNames
	case 4:
		return fieldTypeURL
	case 5:
		return fieldNonce
	case 6:
		return fieldError
	}
	return fieldOther
}

// read parses a message. What it keeps is copied. As protobuf has it, the last value of a field holds, and parts of a message are merged.
func (r *request) read(b []byte) error {
	*r = request{delta: r.delta, size: len(b)}
	return fields(b, func(number protowire.Number, value []byte) error {
		field := r.field(number)
		switch field {
		case fieldNode:
			r.hasNode = true
			return stringField(value, 1, &r.node)
		case fieldError:
			r.refused = true
			return stringField(value, 2, &r.why)
		case fieldKnown:
			return r.readKnown(value)
		case fieldOther:
			return nil
		}
		if !utf8.Valid(value) {
			return errUTF8
		}
		switch field {
		case fieldTypeURL:
			r.typeURL = string(value)
		case fieldNonce:
			r.nonce = string(value)
		case fieldNames:
			r.names = append(r.names, string(value))
		case fieldUnsubscribe:
			r.unsubscribe = append(r.unsubscribe, string(value))
		}
		return nil
	})
}

func (r *request) readKnown(b []byte) error {
	var name, version string
	if err := errors.Join(stringField(b, 1, &name), stringField(b, 2, &version)); err != nil {
		return err
	}
	if r.known == nil {
		r.known = map[string]string{}
	}
	r.known[name] = version
	return nil
}

// stringField reads one string of a message.
func stringField(b []byte, want protowire.Number, to *string) error {
	return fields(b, func(number protowire.Number, value []byte) error {
		if number != want {
			return nil
		}
		if !utf8.Valid(value) {
			return errUTF8
		}
		*to = string(value)
		return nil
	})
}

// fields calls each for the fields of a message that have a length; it skips the others.
func fields(b []byte, each func(protowire.Number, []byte) error) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("%w: %w", errTruncated, protowire.ParseError(n))
		}
		b = b[n:]
		if kind != protowire.BytesType {
			n = protowire.ConsumeFieldValue(number, kind, b)
			if n < 0 {
				return fmt.Errorf("%w: %w", errTruncated, protowire.ParseError(n))
			}
			b = b[n:]
			continue
		}
		value, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return fmt.Errorf("%w: %w", errTruncated, protowire.ParseError(n))
		}
		b = b[n:]
		if err := each(number, value); err != nil {
			return err
		}
	}
	return nil
}
