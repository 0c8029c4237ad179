package channeltest

import (
	"fmt"
	"regexp"
)

// NoLinks says what a phone would make a link of in text, but for the console's address.
func NoLinks(text string) error {
	for _, found := range regexp.MustCompile(`(?i)(\w*://|www\.|javascript:|mailto:|tel:)\S*`).FindAllString(text, -1) {
		if found != "https://lockkeeper.example.com" && found != "http://localhost:7070" {
			return fmt.Errorf("the mesh can link to %q", found)
		}
	}
	return nil
}
