package sdk_test

import (
	"context"
	"os"
	"sync"

	"github.com/lockkeeper/lockkeeper/sdk"
)

// A storage plugin that appends each request to a file. Its program is
//
//	func main() { sdk.ServeStorage(open) }
func Example() {
	open := func(_ context.Context, c sdk.Config) (*sdk.Storage, error) {
		settings := struct {
			Path string `yaml:"path"`
		}{Path: "requests.bin"}
		if err := c.Decode(&settings); err != nil {
			return nil, err
		}
		file, err := os.OpenFile(settings.Path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
		if err != nil {
			return nil, err
		}
		var mu sync.Mutex
		return &sdk.Storage{
			WriteMetrics: func(_ context.Context, m sdk.Metrics) error {
				mu.Lock()
				defer mu.Unlock()
				_, err := file.Write(m.Bytes())
				return err // not marked: the gateway tries again
			},
			Stop: func(context.Context) error { return file.Close() },
		}, nil
	}
	main := func() { sdk.ServeStorage(open) }
	_ = main
}
