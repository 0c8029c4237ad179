package pluginhost

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/lockkeeper/lockkeeper/sdk/proto/plugin/v1"
)

const (
	redacted    = "[REDACTED]"
	secretBytes = 6  // shorter values are in too many innocent words
	keyBytes    = 20 // of a part of a URL's path that is likely a key, as chats have them in the URLs of their hooks
)

// secrets are the strings of a plugin's configuration that are kept out of all that the plugin says, in every form in which
// a plugin is likely to say them. The nil value has none.
type secrets struct {
	forms    []string // the longest first
	replacer *strings.Replacer
}

func newSecrets(config Settings) *secrets {
	var values []string
	collect(reveal(map[string]any(config)), false, func(value string) { values = append(values, value) })
	s := &secrets{}
	for _, value := range values {
		for _, part := range append(strings.Split(value, "\n"), value) { // a key in PEM is printed line by line
			if part = strings.TrimSpace(part); len(part) >= secretBytes {
				s.forms = append(s.forms, part, quoted(part), strings.Trim(strconv.Quote(part), `"`), url.QueryEscape(part), url.PathEscape(part))
			}
		}
	}
	slices.SortFunc(s.forms, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	s.forms = slices.Compact(s.forms)
	pairs := make([]string, 0, 2*len(s.forms))
	for _, form := range s.forms {
		pairs = append(pairs, form, redacted)
	}
	s.replacer = strings.NewReplacer(pairs...)
	return s
}

func quoted(text string) string {
	escaped, _ := json.Marshal(text)
	return string(escaped[1 : len(escaped)-1])
}

// collect finds the secrets of a configuration: all that stands under a key that sounds like one, and in any URL
// what identifies its user.
func collect(tree any, secret bool, found func(string)) {
	switch v := tree.(type) {
	case map[string]any:
		for key, child := range v {
			collect(child, secret || soundsSecret(key), found)
		}
	case []any:
		for _, child := range v {
			collect(child, secret, found)
		}
	case int64:
		collect(strconv.FormatInt(v, 10), secret, found)
		collect(float64(v), secret, found) // which is what some languages make of it
	case float64:
		collect(strconv.FormatFloat(v, 'f', -1, 64), secret, found)
		collect(strconv.FormatFloat(v, 'g', -1, 64), secret, found)
	case string:
		if secret {
			found(v)
		}
		collectURL(v, secret, found)
	}
}

func collectURL(text string, secret bool, found func(string)) {
	address, err := url.Parse(strings.TrimSpace(text))
	if err != nil || address.Host == "" {
		return
	}
	if secret {
		found(address.EscapedPath())
	}
	for segment := range strings.SplitSeq(address.EscapedPath(), "/") {
		if len(segment) >= keyBytes {
			found(segment)
		}
	}
	if address.User != nil {
		found(address.User.String())
		password, _ := address.User.Password()
		found(password)
	}
	found(address.RawQuery)
	for _, values := range address.Query() {
		for _, value := range values {
			found(value)
		}
	}
}

// soundsSecret tells whether a key names a secret. The name of a file is none.
func soundsSecret(key string) bool {
	key = strings.ToLower(key)
	if strings.HasSuffix(key, "file") || strings.HasSuffix(key, "path") {
		return false
	}
	return slices.ContainsFunc([]string{
		"token", "secret", "password", "passwd", "key", "credential", "auth", "webhook", "dsn",
	}, func(word string) bool { return strings.Contains(key, word) })
}

// clean is text without secrets, ready to be printed.
func (s *secrets) clean(text string) string {
	if s != nil && len(s.forms) > 0 {
		text = s.replacer.Replace(text)
	}
	return printable(text)
}

// cleanCut is clean for a text that was cut, perhaps in the middle of a secret.
func (s *secrets) cleanCut(text string) string {
	if s == nil {
		return printable(text)
	}
	text = s.clean(text)
	for _, form := range s.forms {
		for n := min(len(form), len(text)); n > 0; n-- {
			if strings.HasSuffix(text, form[:n]) {
				return text[:len(text)-n] + redacted
			}
		}
	}
	return text
}

// printable escapes what is not for people: bytes that are no UTF-8, control characters, terminal escapes. Lines and
// tabs stay. What is longer than a line may be is cut.
func printable(text string) string {
	if len(text) <= maxLine && utf8.ValidString(text) && !strings.ContainsFunc(text, isControl) {
		return text
	}
	out := make([]byte, 0, min(len(text), maxLine))
	for len(text) > 0 && len(out) < maxLine {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && size == 1:
			out = append(out, `\x`...)
			out = append(out, "0123456789abcdef"[text[0]>>4], "0123456789abcdef"[text[0]&15])
		case isControl(r):
			escaped := strconv.QuoteRuneToASCII(r)
			out = append(out, escaped[1:len(escaped)-1]...)
		default:
			out = append(out, text[:size]...)
		}
		text = text[size:]
	}
	return string(out)
}

// isControl is also true of what has no shape of its own, such as marks that turn the direction of writing.
func isControl(r rune) bool {
	return r != '\n' && r != '\t' && !unicode.IsPrint(r)
}

// dialOptions clean what a plugin answers: its errors, and what it says of itself.
func (s *secrets) dialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(func(
			ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
		) error {
			err := invoke(ctx, method, request, reply, conn, opts...)
			if info, ok := reply.(*pluginv1.InfoResponse); ok {
				info.Kind, info.Version = s.clean(info.GetKind()), s.clean(info.GetVersion())
			}
			return s.cleanError(err)
		}),
		grpc.WithChainStreamInterceptor(func(
			ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption,
		) (grpc.ClientStream, error) {
			stream, err := open(ctx, desc, conn, method, opts...)
			if err != nil {
				return nil, s.cleanError(err)
			}
			return cleanStream{stream, s}, nil
		}),
	}
}

type cleanStream struct {
	grpc.ClientStream
	secrets *secrets
}

// RecvMsg implements grpc.ClientStream.
func (c cleanStream) RecvMsg(message any) error {
	return c.secrets.cleanError(c.ClientStream.RecvMsg(message))
}

// cleanError keeps code and details of a status. Any other error, such as io.EOF, is gRPC's own and stays.
func (s *secrets) cleanError(err error) error {
	told, ok := status.FromError(err)
	if !ok || err == nil {
		return err
	}
	whole := told.Proto()
	if whole.Message = s.clean(told.Message()); whole.GetMessage() == told.Message() {
		return err
	}
	return status.FromProto(whole).Err()
}
