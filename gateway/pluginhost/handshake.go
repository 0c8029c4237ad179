package pluginhost

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	goplugin "github.com/hashicorp/go-plugin"

	"github.com/lockkeeper/lockkeeper/sdk"
)

// handshakeBytes bounds the first line of a plugin, which has a certificate in it.
const handshakeBytes = 64 << 10

// handshake is the part of a plugin's standard output that is go-plugin's: the first line. All that comes after it
// is output like any other. Reading it waits for that line.
type handshake struct {
	read chan struct{} // closed when the line is there, or will never be
	line io.Reader
	err  error // what is wrong with it
}

func newHandshake() *handshake {
	return &handshake{read: make(chan struct{})}
}

// take reads the line from a plugin's standard output. It is called once.
func (h *handshake) take(stdout *bufio.Reader) {
	defer close(h.read)
	line, _ := stdout.ReadSlice('\n')
	h.err = checkHandshake(string(line))
	h.line = strings.NewReader(string(line))
	if h.err != nil {
		h.line = strings.NewReader("")
	}
}

// Read implements io.Reader.
func (h *handshake) Read(p []byte) (int, error) {
	<-h.read
	return h.line.Read(p)
}

// wrong is what is wrong with the line, as far as it is there.
func (h *handshake) wrong() error {
	select {
	case <-h.read:
		return h.err
	default:
		return nil
	}
}

// checkHandshake says in a sentence why we can't talk to a plugin that begins with this line.
func checkHandshake(line string) error {
	parts := strings.Split(strings.TrimSpace(line), "|")
	if line == "" {
		return errors.New("no handshake: it closed its stdout without a word; a plugin serves and says so in its first line")
	}
	core, err := strconv.Atoi(parts[0])
	if len(parts) < 4 || err != nil {
		return fmt.Errorf("no handshake: it printed %q; a plugin serves first and prints nothing to stdout before", shorten(strings.TrimSpace(line)))
	}
	if core != goplugin.CoreProtocolVersion {
		return fmt.Errorf("speaks protocol %d of go-plugin, this gateway speaks %d: build it with another version of go-plugin", core, goplugin.CoreProtocolVersion)
	}
	version, err := strconv.Atoi(parts[1])
	if err != nil {
		return fmt.Errorf("no handshake: %q is no protocol version", shorten(parts[1]))
	}
	if err := checkProtocol(version); err != nil {
		return err
	}
	if len(parts) < 5 || parts[4] != string(goplugin.ProtocolGRPC) {
		return errors.New("does not serve gRPC: the fifth part of its handshake must be grpc")
	}
	return nil
}

// checkProtocol tells whether the gateway speaks this version of the wire, and what to do if not.
func checkProtocol(version int) error {
	switch {
	case version > sdk.ProtocolVersion:
		return fmt.Errorf("speaks protocol %d, this gateway speaks %d: update the gateway, or use an older build of the plugin", version, sdk.ProtocolVersion)
	case version < sdk.ProtocolVersion:
		return fmt.Errorf("speaks protocol %d, this gateway speaks %d: update the plugin", version, sdk.ProtocolVersion)
	}
	return nil
}

// shorten keeps what is enough to recognise a text.
func shorten(text string) string {
	if len(text) > 200 {
		return text[:200] + "…"
	}
	return text
}
