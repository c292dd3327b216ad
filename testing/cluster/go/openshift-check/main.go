// Command openshift-check reads manifests as OpenShift's API server does that is told to be strict: with the types of
// github.com/openshift/api, refusing fields that they do not have. It prints each object as JSON, one a line.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	build "github.com/openshift/api/build/v1"
	image "github.com/openshift/api/image/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: openshift-check MANIFEST")
	}
	path := os.Args[1]
	if err := check(path, os.Stdout); err != nil {
		log.Fatalf("%s: %v", path, err)
	}
}

func check(path string, out io.Writer) error {
	scheme := runtime.NewScheme()
	for _, install := range []func(*runtime.Scheme) error{build.Install, image.Install} {
		if err := install(scheme); err != nil {
			return err
		}
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	documents := yaml.NewYAMLReader(bufio.NewReader(file))
	for number := 1; ; number++ {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		object, _, err := decoder.Decode(document, nil, nil)
		if err != nil {
			return fmt.Errorf("document %d: %w", number, err)
		}
		if err := json.NewEncoder(out).Encode(object); err != nil {
			return err
		}
	}
}
