/* The columns that the records of every operation can have. */
#include "record/schema.h"

const struct record_column record_standard[STANDARD_COUNT] = {
        [STANDARD_PATH] = {"path", VALUE_BYTES, UNIT_NONE, "path"},
        [STANDARD_TYPE] = {"type", VALUE_TEXT, UNIT_NONE, "type"},
        [STANDARD_SIZE] = {"size", VALUE_U64, UNIT_BYTES, "size"},
        [STANDARD_ALLOCATED] = {"allocated", VALUE_U64, UNIT_BYTES, "allocated"},
        [STANDARD_MTIME] = {"mtime", VALUE_TEXT, UNIT_TIME, "modified"},
        [STANDARD_MODE] = {"mode", VALUE_TEXT, UNIT_NONE, "mode"},
        [STANDARD_UID] = {"uid", VALUE_U64, UNIT_NONE, "owner"},
        [STANDARD_GID] = {"gid", VALUE_U64, UNIT_NONE, "group"},
        [STANDARD_NLINK] = {"nlink", VALUE_U64, UNIT_COUNT, "links"},
        [STANDARD_DEV] = {"dev", VALUE_U64, UNIT_NONE, "device"},
        [STANDARD_INO] = {"ino", VALUE_U64, UNIT_NONE, "inode"},
};
