package sdk

import (
	"os"

	goplugin "github.com/hashicorp/go-plugin"
)

// What the gateway and a plugin process must agree on beyond the services in sdk/proto.
const (
	// ProtocolVersion is the newest version of the wire that this module speaks, and OldestProtocolVersion the oldest.
	// Configure agrees on one. A new version is what an old plugin could not do without knowing it: fields are added
	// without one.
	ProtocolVersion       = 1
	OldestProtocolVersion = 1

	// MaxMessageBytes bounds one gRPC message in either direction. The gateway keeps its own requests to 2 MiB.
	MaxMessageBytes = 64 << 20

	// HostPipeEnv names the environment variable that holds the number of an inherited file descriptor:
	// the read end of a pipe whose only writer is the gateway. End of file means that the gateway is gone.
	HostPipeEnv = "LOCKKEEPER_HOST_PIPE"

	// PluginKey is the name under which a plugin is dispensed by go-plugin.
	PluginKey = "plugin"
)

// Handshake is the go-plugin handshake: a guard against running a plugin by hand, not a secret. Its version stays 1,
// because a plugin at an address has no handshake.
func Handshake() goplugin.HandshakeConfig {
	return goplugin.HandshakeConfig{
		ProtocolVersion:  1,
		MagicCookieKey:   "LOCKKEEPER_PLUGIN",
		MagicCookieValue: "5f1c0a4e-lock-keeper",
	}
}

// Environment is what a plugin process inherits from the program that starts it: enough to find programs, files, the
// time zone, proxies and certificate authorities, and nothing that may hold a secret of the gateway or of another plugin.
func Environment() []string {
	var inherited []string
	for _, name := range environmentNames() {
		if value, ok := os.LookupEnv(name); ok {
			inherited = append(inherited, name+"="+value)
		}
	}
	return inherited
}

func environmentNames() []string {
	return []string{
		"PATH", "HOME", "TMPDIR", "TZ", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR",
		"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
	}
}
