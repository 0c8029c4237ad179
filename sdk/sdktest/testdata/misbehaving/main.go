// Command misbehaving is a notification plugin that does wrong what the name of its binary says.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/lockkeeper/lockkeeper/sdk"
)

func main() {
	byHand := os.Getenv(sdk.Handshake().MagicCookieKey) == ""
	switch does := filepath.Base(os.Args[0]); {
	case does == "prints-first":
		fmt.Println("starting up")
	case does == "exits-at-once":
		fmt.Fprintln(os.Stderr, "no such library: libacme.so")
		os.Exit(3)
	case does == "speaks-another-protocol" && !byHand:
		fmt.Println("1|7|unix|/nowhere|grpc|")
		select {}
	case does == "ignores-its-host":
		os.Unsetenv(sdk.HostPipeEnv)
	case does == "runs-by-hand" && byHand:
		select {}
	case does == "talks-by-hand" && byHand:
		fmt.Println("usage: none")
		return
	}
	sdk.ServeNotification(open)
}

func open(_ context.Context, c sdk.Config) (*sdk.Notification, error) {
	var settings struct {
		Directory string `yaml:"directory"`
	}
	if err := c.Decode(&settings); err != nil {
		return nil, err
	}
	lock := filepath.Join(settings.Directory, "lock")
	plugin := &sdk.Notification{Notify: func(context.Context, *sdk.Group) error { return nil }}
	switch filepath.Base(os.Args[0]) {
	case "ignores-sigterm":
		signal.Ignore(syscall.SIGTERM)
	case "leaves-a-lock":
		file, err := os.OpenFile(lock, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, sdk.Permanent(errors.New("locked"))
		}
		file.Close()
		plugin.Stop = func(context.Context) error { return os.Remove(lock) }
	}
	return plugin, nil
}
