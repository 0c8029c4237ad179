// Package sdk is what a Lockkeeper plugin written in Go needs. An author writes a func that opens the plugin
// and calls ServeStorage with it in main; the gateway starts the program, configures it and calls it by gRPC.
//
// What comes in is a Config and then requests as they were received; what goes out are errors that say whether
// a second try could help. The package never calls the gateway. The wire itself, for other languages, is in
// proto/plugin/v1.
package sdk
