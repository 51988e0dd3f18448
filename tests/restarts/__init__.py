"""Workers that are replaced and killed under load: does every call that was accepted have its outcome?"""
