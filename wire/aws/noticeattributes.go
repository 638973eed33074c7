package aws

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// checkNoticeAttributes refuses message attributes in SNS's words, which are not those of SQS. at is where
// they are in the request.
func checkNoticeAttributes(all map[string]messageAttribute, at string) *Error {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if err := checkNoticeAttributeName(name); err != nil {
			return err
		}
		a := all[name]
		if a.DataType == "" {
			return errorf(snsValidation, "1 validation error detected: Value null at '%s.%s.member.dataType' failed "+
				"to satisfy constraint: Member must not be null", at, name)
		}
		if err := a.checkNotice(name); err != nil {
			return err
		}
	}
	return nil
}

func badValue(format string, args ...any) *Error { return errorf(snsValueInvalid, format, args...) }

func checkNoticeAttributeName(name string) *Error {
	switch {
	case name == "":
		return badValue("Message attribute name can not be empty.")
	case len(name) > 256:
		return badValue("Length of message attribute name must be less than 256 bytes.")
	case strings.HasPrefix(name, "."):
		return badValue("Invalid message attribute name starting with character '.' was found.")
	case strings.HasSuffix(name, "."):
		return badValue("Invalid message attribute name ending with character '.' was found.")
	case strings.Contains(name, ".."):
		return badValue("Message attribute name can not have successive '.' character.")
	}
	if i := strings.IndexFunc(name, notInName); i >= 0 {
		r, _ := utf8.DecodeRuneInString(name[i:])
		return badValue("Invalid non-alphanumeric character '#x%X' was found in the message attribute name. Can "+
			"only include alphanumeric characters, hyphens, underscores, or dots.", r)
	}
	return nil
}

func notInName(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return false
	}
	return r != '_' && r != '-' && r != '.'
}

func (a *messageAttribute) checkNotice(name string) *Error {
	kind := a.kind()
	switch {
	case kind != "String" && kind != "Number" && kind != "Binary", a.DataType == kind+".",
		len(a.DataType) > 256:
		return badValue("The message attribute '%s' has an invalid message attribute type, the set of supported "+
			"type prefixes is Binary, Number, and String.", name)
	case a.binary() && a.StringValue != nil, !a.binary() && a.BinaryValue != nil:
		return badValue("The message attribute '%s' with type '%s' must use field '%s'.", name, a.DataType,
			a.valueType())
	case a.binary() && len(a.BinaryValue) == 0, !a.binary() && a.text() == "":
		return badValue("The message attribute '%s' must contain non-empty message attribute value for message "+
			"attribute type '%s'.", name, a.DataType)
	}
	if kind == "Number" && !isNumber(a.text()) {
		return badValue("Could not cast message attribute '%s' value to number.", name)
	}
	return nil
}
