"""What a world, a policy, a source of scenes, a store or a view promises, as one check for each.

A check takes yours as it takes ours, and raises ``BrokenPromise`` with the promise that is not kept. It needs no
pytest: call it in a test of your own, or by hand.
"""

from longdwm_env.contracts.policy_contract import check_policy
from longdwm_env.contracts.promises import BrokenPromise
from longdwm_env.contracts.scene_contract import check_scene_source
from longdwm_env.contracts.store_contract import Store, check_store
from longdwm_env.contracts.view_contract import View, check_view
from longdwm_env.contracts.world_contract import check_world

__all__ = [
    "BrokenPromise",
    "Store",
    "View",
    "check_policy",
    "check_scene_source",
    "check_store",
    "check_view",
    "check_world",
]
