"""Checks that the stored code blocks are the guide's, letter for letter. Run: python -m unittest -v test_guide_blocks"""

import pathlib
import unittest

BLOCKS = pathlib.Path(__file__).resolve().parent / "guide_blocks"
GUIDE = pathlib.Path(__file__).resolve().parents[3] / "shared" / "reference" / "guide.txt"
NAMES = ["campaign", "retrieval", "acceptance", "payment", "wallet", "credit", "cancellation"]
CODE_STARTS = ("r = requests.", "assert r.", "headers=", "print(")


def sections(guide_text):
    """The texts that follow each "Example:" of the guide, up to the next one."""
    return guide_text.split("Example:\n")[1:]


def differences(section, block):
    """What is wrong with `block` as the code at the head of `section`; empty where nothing is."""
    if not section.startswith(block):
        return ["the section does not begin with the block"]
    rest = section[len(block):].splitlines()
    return ["code after the block: " + line for line in rest if line.startswith(CODE_STARTS)]


class StoredBlocks(unittest.TestCase):
    """The stored blocks beside the guide's text."""

    def test_names_and_order(self):
        stored = [path.name for path in sorted(BLOCKS.glob("*.py"))]
        self.assertEqual(stored, ["{:02d}_{}.py".format(i, name) for i, name in enumerate(NAMES, start=1)])

    @unittest.skipUnless(GUIDE.exists(), "the guide's text is not beside this checkout")
    def test_the_blocks_are_the_guides(self):
        found = sections(GUIDE.read_text(encoding="utf-8"))
        stored = [path.read_text(encoding="utf-8") for path in sorted(BLOCKS.glob("*.py"))]
        self.assertEqual(len(found), len(stored))
        for section, block in zip(found, stored):
            self.assertEqual(differences(section, block), [])

    def test_a_changed_or_cut_block_is_found(self):
        section = "r = requests.get(\nurl\n)\nprint(r)\nProse.\n"
        self.assertEqual(differences(section, "r = requests.get(\nurl\n)\nprint(r)\n"), [])
        self.assertNotEqual(differences(section, "r = requests.get(\nurl2\n)\nprint(r)\n"), [])
        self.assertNotEqual(differences(section, "r = requests.get(\nurl\n)\n"), [])


if __name__ == "__main__":
    unittest.main()
