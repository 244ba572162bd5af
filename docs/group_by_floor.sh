#!/bin/sh
# Doxygen's filter for headers: what a header declares belongs to the group that its folder is named after. The lines
# stay where they are.
floor=$(basename "$(dirname "$1")")
exec sed -e "/^namespace PGCORO_API pgcoro/{n;s|^{|{ /** @addtogroup $floor */ /** @{ */|;}" \
    -e 's|^} // namespace pgcoro$|/** @} */ }|' "$1"
