package cluster

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	maxKey   = 32       // bytes of a state's key
	maxState = 64 << 20 // bytes of all states together
	maxSent  = 16 << 20 // the same, compressed: memberlist takes 20 MiB at most

	// smallMessage is what gossip carries: some of them fit into a packet. A longer one goes by TCP.
	smallMessage = 1000
)

// errSize says that something is longer than may be.
var errSize = errors.New("is too long")

// part is a piece of a state: the whole of it, or a change.
type part struct {
	key  string
	data []byte
}

// message is a change on its way through the cluster.
type message struct {
	part
	origin string // the member that it comes from, whoever passed it on
}

// encode writes a version, whether what follows is compressed, and then key, origin and data, each with its length.
func (m message) encode() ([]byte, error) {
	body := appendField(nil, []byte(m.key))
	body = appendField(body, []byte(m.origin))
	body = appendField(body, m.data)
	if len(body)+1 <= smallMessage {
		return append([]byte{wirePlain}, body...), nil
	}
	return compress(body, maxSent)
}

// decodeMessage reads what encode wrote. What it returns shares nothing with b.
func decodeMessage(b []byte) (m message, err error) {
	body, err := decompress(b, maxState)
	if err != nil {
		return m, err
	}
	var fields [3][]byte
	for i := range fields {
		if fields[i], body, err = cutField(body); err != nil {
			return m, err
		}
	}
	m = message{part: part{string(fields[0]), fields[2]}, origin: string(fields[1])}
	if len(body) > 0 || m.key == "" || len(m.key) > maxKey || checkName(m.origin) != nil {
		return message{}, errGarbage
	}
	return m, nil
}

// encodeStates writes the whole of states: what fits into limit, in the order given, and how many did.
func encodeStates(parts []part, limit int) (encoded []byte, fit int, err error) {
	for fit = len(parts); fit >= 0; fit-- {
		var body []byte
		for _, p := range parts[:fit] {
			body = appendField(appendField(body, []byte(p.key)), p.data)
		}
		if len(body) > maxState {
			continue
		}
		if encoded, err = compress(body, limit); !errors.Is(err, errSize) {
			return encoded, fit, err
		}
	}
	return nil, 0, err
}

func decodeStates(b []byte) (parts []part, err error) {
	body, err := decompress(b, maxState)
	for err == nil && len(body) > 0 {
		var key, data []byte
		if key, body, err = cutField(body); err != nil {
			break
		}
		if data, body, err = cutField(body); err != nil {
			break
		}
		if len(key) == 0 || len(key) > maxKey {
			err = errGarbage
		}
		parts = append(parts, part{string(key), data})
	}
	if err != nil {
		return nil, err
	}
	return parts, nil
}

// How what is sent is written, as its first byte.
const (
	wirePlain      = 1
	wireCompressed = 2
)

func compress(body []byte, limit int) ([]byte, error) {
	out := bytes.NewBuffer([]byte{wireCompressed})
	w, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	if _, err = w.Write(body); err == nil {
		err = w.Close()
	}
	if err == nil && out.Len() > limit {
		err = fmt.Errorf("%d bytes of at most %d, compressed: %w", out.Len(), limit, errSize)
	}
	return out.Bytes(), err
}

// decompress returns a copy of what is in b, compressed or not.
func decompress(b []byte, limit int64) ([]byte, error) {
	if len(b) == 0 {
		return nil, errGarbage
	}
	switch b[0] {
	case wirePlain:
		return bytes.Clone(b[1:]), nil
	case wireCompressed:
		r, err := gzip.NewReader(bytes.NewReader(b[1:]))
		if err != nil {
			return nil, errGarbage
		}
		body, err := io.ReadAll(io.LimitReader(r, limit+1))
		if err != nil {
			return nil, errGarbage
		}
		if int64(len(body)) > limit {
			return nil, errSize
		}
		return body, nil
	}
	return nil, errGarbage
}

func appendField(to, field []byte) []byte {
	return append(binary.AppendUvarint(to, uint64(len(field))), field...)
}

func cutField(from []byte) (field, rest []byte, err error) {
	n, size := binary.Uvarint(from)
	if size <= 0 || n > uint64(len(from)-size) {
		return nil, nil, errGarbage
	}
	end := size + int(n)
	return from[size:end:end], from[end:], nil
}
