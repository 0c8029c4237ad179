// Package sdk is what a Lockkeeper plugin written in Go needs. An author writes a func that opens the plugin, and a main
// that hands it to one of
//
//   - ServeStorage, for a plugin that keeps metrics or logs,
//   - ServeNotification, for one that tells people of alerts,
//   - ServeAlerting, for one that finds out which alerts fire.
//
// The gateway starts the program, configures it and calls it by gRPC. The Register funcs are for a plugin that is a
// server at an address instead.
//
// What comes in is a Config and then requests as they were received; what goes out are errors that say whether a second
// try could help: an error is retryable, unless it is marked Permanent. The same request may come twice. The package never
// calls the gateway. The wire itself, for other languages, is in proto; package sdktest checks a plugin.
package sdk
