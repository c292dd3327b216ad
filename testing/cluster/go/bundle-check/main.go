// Command bundle-check checks an OLM bundle with each validator of the operator framework, those included that
// `operator-sdk bundle validate` runs only when they are asked for. It prints a line for each finding: the level, the
// validator, the detail. It exits with 1 if there is an error or, with --strict, a warning.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/operator-framework/api/pkg/manifests"
	"github.com/operator-framework/api/pkg/validation"
	"github.com/operator-framework/api/pkg/validation/errors"
	validator "github.com/operator-framework/api/pkg/validation/interfaces"
)

const multiArch = "multiarch"

// The library's validators have no names.
var validators = []struct {
	name      string
	validator validator.Validator
}{
	{"package-manifest", validation.PackageManifestValidator},
	{"csv", validation.ClusterServiceVersionValidator},
	{"crd", validation.CustomResourceDefinitionValidator},
	{"bundle", validation.BundleValidator},
	{"operatorhub", validation.OperatorHubV2Validator},
	{"categories", validation.StandardCategoriesValidator},
	{"capabilities", validation.StandardCapabilitiesValidator},
	{"objects", validation.ObjectValidator},
	{"operator-group", validation.OperatorGroupValidator},
	{"community", validation.CommunityOperatorValidator},
	{"deprecated-apis", validation.AlphaDeprecatedAPIsValidator},
	{"good-practices", validation.GoodPracticesValidator},
	{multiArch, validation.MultipleArchitecturesValidator},
}

func main() {
	strict := flag.Bool("strict", false, "fail on warnings as well")
	flag.Parse()
	if flag.NArg() != 1 {
		log.Fatal("usage: bundle-check [--strict] BUNDLE-DIRECTORY")
	}
	if len(validators) != len(validation.AllValidators) {
		log.Fatalf("the library has %d validators, and this program names %d",
			len(validation.AllValidators), len(validators))
	}
	// The library takes "." for a hidden directory, and skips it.
	directory, err := filepath.Abs(flag.Arg(0))
	if err != nil {
		log.Fatal(err)
	}
	bundle, err := manifests.GetBundleFromDir(directory)
	if err != nil {
		log.Fatal(err)
	}
	// Where docker is installed, the multi-arch validator would pull the images that the bundle names. What it says
	// would depend on the machine, and on whether the images of this version are published yet. So it finds none.
	if err := os.Unsetenv("PATH"); err != nil {
		log.Fatal(err)
	}
	failed := false
	for _, each := range validators {
		for _, result := range each.validator.Validate(bundle.ObjectsToValidate()...) {
			for _, finding := range result.Errors {
				failed = true
				report("ERROR", each.name, finding)
			}
			for _, finding := range result.Warnings {
				if each.name != multiArch || !comesFromNoDocker(finding.Detail) {
					failed = failed || *strict
					report("WARN", each.name, finding)
				}
			}
		}
	}
	if failed {
		os.Exit(1)
	}
}

// comesFromNoDocker tells the multi-arch validator's warnings that say nothing about the bundle: without docker it
// warns of each image that it cannot inspect, goes on as if that image were of the platform "error/error", and warns
// again of all that does not fit to it. That labels or a node affinity are missing it says without such a word.
func comesFromNoDocker(detail string) bool {
	return strings.HasPrefix(detail, "unable to inspect the image") || strings.Contains(detail, `"error/error"`)
}

func report(level, name string, finding errors.Error) {
	detail := finding.Detail
	if finding.Field != "" {
		detail = finding.Field + ": " + detail
	}
	fmt.Println(level, name, strings.Join(strings.Fields(detail), " "))
}
