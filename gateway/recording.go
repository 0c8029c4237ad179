package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/lockkeeper/lockkeeper/gateway/mesh"
)

// maxRecorded bounds one message of a recording. Envoy's are some 17 kB of access logs, and up to some MB of stats.
const maxRecorded = 64 << 20

// readRecorded reads one message of a recording: its length as a varint, then its bytes. At the end it returns io.EOF, within a
// message io.ErrUnexpectedEOF.
func readRecorded(in *bufio.Reader) ([]byte, error) {
	size, err := binary.ReadUvarint(in)
	if err != nil {
		return nil, err
	}
	if size > maxRecorded {
		return nil, fmt.Errorf("a message of %d bytes: not a recording", size)
	}
	if buffered := min(size, 64<<10); size > buffered { // a wrong length must not cost its memory
		message, err := io.ReadAll(io.LimitReader(in, int64(size)))
		if err == nil && uint64(len(message)) < size {
			err = io.ErrUnexpectedEOF
		}
		return message, err
	}
	message := make([]byte, size)
	if _, err := io.ReadFull(in, message); errors.Is(err, io.EOF) {
		return nil, io.ErrUnexpectedEOF
	} else if err != nil {
		return nil, err
	}
	return message, nil
}

// speaker is whose stream a message came by.
type speaker struct{ node, logName string }

// speakers tells the speakers of messages apart. The zero value is not ready: use make.
type speakers map[string]speaker // by the bytes of the identifier

// of is the speaker that a message names; ok is false when it names none.
func (s speakers) of(message []byte) (_ speaker, ok bool, _ error) {
	identifier := fields(message, 1)
	if len(identifier) == 0 {
		return speaker{}, false, nil
	}
	if known, ok := s[string(identifier[0])]; ok {
		return known, true, nil
	}
	node, err := mesh.ReadNode(message, mesh.IDCSource{})
	if err != nil {
		return speaker{}, false, err
	}
	one := speaker{node: node.ID, logName: node.LogName}
	s[string(identifier[0])] = one
	return one, true, nil
}

// kindOf tells by a message's bytes whether it carries access logs or stats; empty: neither, as one of an identifier alone.
// Field 2 is a list of entries in the one, a MetricFamily with a type and values in the other.
func kindOf(message []byte) string {
	if len(fields(message, 3)) > 0 {
		return kindALS
	}
	for _, list := range fields(message, 2) {
		for _, number := range []protowire.Number{3, 4} { // type and metric
			if has(list, number) {
				return kindStats
			}
		}
		if len(fields(list, 1)) > 0 {
			return kindALS
		}
	}
	return ""
}

// countOf is the number of entries, or of metric families.
func countOf(kind string, message []byte) int {
	families := fields(message, 2)
	if kind == kindStats {
		return len(families)
	}
	n := 0
	for _, list := range append(families, fields(message, 3)...) {
		n += len(fields(list, 1))
	}
	return n
}

// fields are the contents of one length-delimited field, as often as a message has it.
func fields(message []byte, wanted protowire.Number) (contents [][]byte) {
	walk(message, func(number protowire.Number, kind protowire.Type, field []byte) {
		if number == wanted && kind == protowire.BytesType {
			_, _, n := protowire.ConsumeTag(field)
			content, _ := protowire.ConsumeBytes(field[n:])
			contents = append(contents, content)
		}
	})
	return contents
}

func has(message []byte, wanted protowire.Number) (found bool) {
	walk(message, func(number protowire.Number, _ protowire.Type, _ []byte) { found = found || number == wanted })
	return found
}

// anonymous is a message without its identifier, as all but the first of a stream are.
func anonymous(message []byte) []byte {
	rest := make([]byte, 0, len(message))
	walk(message, func(number protowire.Number, _ protowire.Type, field []byte) {
		if number != 1 {
			rest = append(rest, field...)
		}
	})
	return rest
}

// walk calls see for each field of a message, up to what cannot be read.
func walk(message []byte, see func(number protowire.Number, kind protowire.Type, field []byte)) {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeField(message)
		if n < 0 {
			return
		}
		see(number, kind, message[:n])
		message = message[n:]
	}
}
