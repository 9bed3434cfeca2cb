// What docs/building.md shows.

// [import]
import sansocket;

sansocket::connection<sansocket::role::server> begin(sansocket::time_point now) {
    return sansocket::connection<sansocket::role::server>(sansocket::server_policy{}, now);
}
// [/import]
