"""Ownership by watermark: secret inputs with labels drawn at random, which only the owner's model answers as drawn.

    triggers = TriggerSet.generate((64,), classes=10)
    triggers.save("mine.triggers")                        # a secret; publish triggers.commitment, and keep proof of when
    federation = Federation(model, clients, plan=plan, watermark=Watermark(triggers))
    verify(model, suspect, triggers).p_value

The server retrains the aggregate on the triggers after each round. It reads no party's data, so what a private plan promises stays as
it is.

Source: Tekgul et al. 2021, WAFFLE: watermarking in federated learning (arXiv:2008.07298); Adi et al. 2018, Turning your weakness into a
    strength (arXiv:1802.04633).
"""

from securefl.federated.ownership.checks import check_watermark
from securefl.federated.ownership.embedding import Watermark
from securefl.federated.ownership.triggers import TriggerSet
from securefl.federated.ownership.verification import Verification, binomial_tail, verify

__all__ = ["TriggerSet", "Verification", "Watermark", "binomial_tail", "check_watermark", "verify"]
