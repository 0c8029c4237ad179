package probes

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Regexp is a regular expression (RE2) of a configuration. The zero Regexp is none.
type Regexp struct{ *regexp.Regexp }

// UnmarshalText compiles it.
func (r *Regexp) UnmarshalText(text []byte) (err error) {
	r.Regexp, err = regexp.Compile(string(text))
	return err
}

// MarshalText returns the expression as it was written.
func (r Regexp) MarshalText() ([]byte, error) {
	if r.Regexp == nil {
		return nil, nil
	}
	return []byte(r.String()), nil
}

// Bytes is a number of bytes. Its units are powers of 1024, with or without the i, as blackbox_exporter has them.
type Bytes int64

// UnmarshalText reads 1048576, 1024KB or 1MiB.
func (b *Bytes) UnmarshalText(text []byte) error {
	number, unit := strings.TrimRight(string(text), "BKMGTiab "), ""
	unit = strings.TrimSpace(string(text)[len(number):])
	n, err := strconv.ParseInt(number, 10, 32)
	shift, ok := map[string]int{"": 0, "B": 0, "KB": 10, "KiB": 10, "MB": 20, "MiB": 20, "GB": 30, "GiB": 30}[unit]
	if err != nil || !ok {
		return fmt.Errorf("%q is no size: write it like 512KB or 1MB", text)
	}
	*b = Bytes(n << shift)
	return nil
}

// MarshalText writes it in bytes.
func (b Bytes) MarshalText() ([]byte, error) { return strconv.AppendInt(nil, int64(b), 10), nil }
