// Command faulty is a plugin that goes wrong in the way that a file says for as long as it says it: the file beside the program
// that has the program's name and .fault at its end. Started as KIND-NAME it is a plugin of that kind; with --listen HOST:PORT it
// is a storage plugin at an address.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/lockkeeper/lockkeeper/sdk"
)

const pause = 20 * time.Millisecond

func main() {
	if len(os.Args) == 3 && os.Args[1] == "--listen" {
		serveAt(os.Args[2])
	}
	switch fault() {
	case "crash":
		os.Exit(4)
	case "talk":
		fmt.Println("Welcome!")
	case "slow":
		for fault() == "slow" {
			time.Sleep(pause)
		}
	case "protocol":
		fmt.Println("1|99|tcp|127.0.0.1:1|grpc")
		select {}
	}
	if strings.HasPrefix(filepath.Base(os.Args[0]), "notification-") {
		sdk.ServeNotification(func(context.Context, sdk.Config) (*sdk.Notification, error) {
			return &sdk.Notification{Notify: func(context.Context, *sdk.Group) error { return nil }}, nil
		})
		return
	}
	sdk.ServeStorage(open)
}

func fault() string {
	text, err := os.ReadFile(os.Args[0] + ".fault")
	if err != nil {
		return ""
	}
	return string(text)
}

// storage takes all and keeps nothing. Each call needs the lock.
type storage struct {
	sync.Mutex
	leaked [][]byte
}

func open(context.Context, sdk.Config) (*sdk.Storage, error) {
	s := &storage{}
	go s.fail()
	return &sdk.Storage{
		WriteMetrics: func(context.Context, sdk.Metrics) error { return s.work() },
		Health:       func(context.Context) error { return s.work() },
	}, nil
}

func (s *storage) work() error {
	s.Lock()
	defer s.Unlock()
	return nil
}

// fail does what goes wrong in a plugin that runs.
func (s *storage) fail() {
	for ; ; time.Sleep(pause) {
		switch fault() {
		case "crash":
			os.Exit(4)
		case "deadlock":
			s.Lock()
			select {}
		case "flood":
			for i := range 10_000 {
				fmt.Println("nothing to tell, for the time number", i)
			}
		case "leak":
			block := make([]byte, 4<<20)
			for i := 0; i < len(block); i += 4096 {
				block[i] = 1
			}
			s.leaked = append(s.leaked, block)
		}
	}
}

func serveAt(address string) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	server := grpc.NewServer(sdk.ServerOptions()...)
	sdk.RegisterStorage(server, open)
	fmt.Fprintln(os.Stderr, server.Serve(listener))
	os.Exit(1)
}
