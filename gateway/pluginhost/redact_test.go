package pluginhost

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestSecrets(t *testing.T) {
	f := func(config, text, want string) {
		t.Helper()
		cfg, err := load(t, `processes: {a: {kind: storage, config: {`+config+`}}}`)
		require.NoError(t, err)
		require.Equal(t, want, newSecrets(cfg.Processes["a"].Config).clean(text))
	}
	// the key says so, whatever its case and however deep
	f(`token: abcdef`, "x abcdef y", "x [REDACTED] y")
	f(`a: {b: [{API_Key: abcdef}]}`, "abcdef", "[REDACTED]")
	f(`basicAuth: {user: somebody}`, "somebody", "[REDACTED]")
	f(`client_secret: 12345678`, "12345678", "[REDACTED]")
	// what is short is in too many innocent words
	f(`token: abcde`, "abcde", "abcde")
	// other keys, and names of files
	f(`retention: abcdef`, "abcdef", "abcdef")
	f(`password_file: /etc/secret`, "/etc/secret", "/etc/secret")
	// escaped for JSON, Go and URLs
	f(`token: 'a"b\c/d e'`, `a"b\c/d e a\"b\\c/d e a%22b%5Cc%2Fd+e a%22b%5Cc%2Fd%20e`, "[REDACTED] [REDACTED] [REDACTED] [REDACTED]")
	// the longest first
	f(`token: abcdef, secret: abcdefgh`, "abcdefgh", "[REDACTED]")
	// a key of several lines, of which each may be printed alone
	f(`key: "-----BEGIN\nMIIEvQIB\n-----END"`, "read MIIEvQIB", "read [REDACTED]")
	// a URL anywhere
	f(`url: 'https://bob:hunter2@h/p?sig=0123456'`, "https://h/p hunter2 0123456", "https://h/p [REDACTED] [REDACTED]")
	f(`url: 'https://bob:hunter2@h/p?sig=0123456'`, `Post "https://bob:hunter2@h/p?sig=0123456"`, `Post "https://[REDACTED]@h/p?[REDACTED]"`)
	f(`url: 'https://h/p'`, "https://h/p", "https://h/p")
	f(`url: 'https://h/services/T0/XXXXxxxxXXXXxxxx0123'`, "POST /services/T0/XXXXxxxxXXXXxxxx0123", "POST /services/T0/[REDACTED]")
	f(`webhook: 'https://h/services/T0/B0'`, "POST /services/T0/B0", "POST [REDACTED]")
}

func TestSecretCutInTheMiddle(t *testing.T) {
	s := newSecrets(Settings{"token": "abcdef"})
	require.Equal(t, "x [REDACTED]", s.cleanCut("x abcd"))
	require.Equal(t, "x [REDACTED]", s.cleanCut("x abcdef"))
	require.Equal(t, "x", s.cleanCut("x"))
	require.Equal(t, "x", (*secrets)(nil).cleanCut("x"))
}

func TestCleanError(t *testing.T) {
	s := newSecrets(Settings{"token": "abcdef"})
	require.NoError(t, s.cleanError(nil))
	require.Equal(t, io.EOF, s.cleanError(io.EOF))
	require.Equal(t, context.Canceled, s.cleanError(context.Canceled))
	told, err := status.New(codes.ResourceExhausted, "abcdef is too much").WithDetails(&errdetails.RetryInfo{})
	require.NoError(t, err)
	clean := status.Convert(s.cleanError(told.Err()))
	require.Equal(t, codes.ResourceExhausted, clean.Code())
	require.Equal(t, "[REDACTED] is too much", clean.Message())
	require.Len(t, clean.Details(), 1, "when to try again is kept")
	long := s.cleanError(status.Error(codes.Internal, strings.Repeat("x", 10*maxLine)))
	require.Len(t, status.Convert(long).Message(), maxLine)
}
