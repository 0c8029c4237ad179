package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/lockkeeper/lockkeeper/sdk/sdktest"
)

func TestConformance(t *testing.T) {
	channel := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer channel.Close()
	sdktest.Notification(t, open, map[string]any{"url": channel.URL, "token": "t0ken"})
}
